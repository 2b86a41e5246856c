module isthmus.dev/conformance/registries/double

go 1.24
