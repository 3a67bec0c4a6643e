"""What interpreters say of plots: legend, store, tables, exchange, comparison, server."""
