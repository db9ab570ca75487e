"""What Concert promises, shown from outside: Kafka topics and HTTP in, profiles and actions out."""
