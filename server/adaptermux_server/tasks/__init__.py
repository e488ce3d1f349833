"""From validated inputs to rows and from row values to answers; knows neither gRPC nor torch."""
