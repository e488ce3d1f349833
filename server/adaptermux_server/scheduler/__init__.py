"""Which rows go to the engine next; knows neither torch nor tokens' meaning."""
