"""The Kafka plugin of backscroll; opened by URL, so there is nothing here to import."""
