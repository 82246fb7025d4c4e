-- The customers who ordered in the window, each with the whole profile as of the window's end: an upload replaces a
-- record, so an aggregate over the window alone would destroy what came before. Orders after the window are left out:
-- a window gives the same rows whenever it runs, unless the orders themselves were corrected.
-- order_date is a date, and so are the window's ends, in the DAG's zone: the days of both must begin at the same time.
SELECT
    customer_id            AS "customerId",
    COUNT(*)               AS orders,
    SUM(cds)               AS cds,
    ROUND(SUM(dollars), 2) AS lifetime_value,
    MIN(order_date)        AS first_order,
    MAX(order_date)        AS last_order
FROM orders
WHERE order_date < '{{ window.end | ds }}'
  AND customer_id IN (
    SELECT customer_id FROM orders
    WHERE order_date >= '{{ window.start | ds }}' AND order_date < '{{ window.end | ds }}'
  )
GROUP BY customer_id
