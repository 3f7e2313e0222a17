"""Read a configuration: YAML with line numbers, a typed model, the graph, all mistakes at once."""
