-- The customers who ordered in the window, each with the whole profile as of the window's end; and, as deletions, those
-- whose last order was a year before it. A window gives the same rows whenever it runs.
SELECT
    customer_id            AS "customerId",
    COUNT(*)               AS orders,
    ROUND(SUM(dollars), 2) AS lifetime_value,
    MAX(order_date)        AS last_order,
    CASE WHEN MAX(order_date) < '{{ window.start | ds }}' THEN 1 ELSE 0 END AS is_deleted
FROM orders
WHERE order_date < '{{ window.end | ds }}'
GROUP BY customer_id
HAVING (MAX(order_date) >= '{{ window.start | ds }}')
    OR (MAX(order_date) >= '{{ (window.start - macros.timedelta(days=365)) | ds }}'
        AND MAX(order_date) < '{{ (window.end - macros.timedelta(days=365)) | ds }}')
