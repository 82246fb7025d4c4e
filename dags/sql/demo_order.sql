-- One statement, with the customer's id from the trigger form, which takes digits only.
{% if params.customer_id %}
UPDATE orders SET customer_id = '{{ params.customer_id }}' WHERE customer_id = ''
{% else %}
INSERT INTO orders (customer_id, order_date, cds, dollars) VALUES ('', '1997-03-04', 1, 9.99)
{% endif %}
