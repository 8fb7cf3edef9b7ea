"""What the gateway keeps: tables (tables.py), the database (database.py), the queries on them."""

from gateway.store.database import Store, StoreError, open_store

__all__ = ["Store", "StoreError", "open_store"]
