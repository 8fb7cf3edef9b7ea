"""MQTT in: judge, verify, commit in batches, receipts."""
