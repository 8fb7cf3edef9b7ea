"""The gateway: durable lines from bins over MQTT, passed on to points over HTTP."""
