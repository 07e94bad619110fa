#!/bin/sh
# ID<TAB>JSON for the customers (CSV) and orders (JSON lines) given, by Python's csv module and SQLite.
exec python3 - "$1" "$2" <<'PROGRAM'
import csv, json, sqlite3, sys

tables = sqlite3.connect(":memory:")
tables.execute("CREATE TABLE customers (id TEXT, name TEXT, city TEXT)")
tables.execute("CREATE TABLE orders (customer TEXT, cents INT)")
with open(sys.argv[1], newline="", encoding="utf-8") as file:
    tables.executemany("INSERT INTO customers VALUES (?, ?, ?)", list(csv.reader(file))[1:])
with open(sys.argv[2], encoding="utf-8") as file:
    tables.executemany("INSERT INTO orders VALUES (:customer, :cents)", map(json.loads, file))
query = """SELECT id, name, city, count(customer) AS orders, coalesce(sum(cents), 0) AS cents
           FROM customers LEFT JOIN orders ON id = customer GROUP BY id ORDER BY id"""
for identity, *row in tables.execute(query):
    print(identity, json.dumps(dict(zip(("name", "city", "orders", "cents"), row))), sep="\t")
PROGRAM
