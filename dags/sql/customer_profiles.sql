-- One row a customer. Both stores replace or update by the key, so the key is unique and never null.
SELECT
    customer_id            AS "customerId",
    COUNT(*)               AS orders,
    SUM(cds)               AS cds,
    ROUND(SUM(dollars), 2) AS lifetime_value,
    MIN(order_date)        AS first_order,
    MAX(order_date)        AS last_order
FROM orders
GROUP BY customer_id
