"""Links: one module a library, each turns its library's exceptions into ours."""
