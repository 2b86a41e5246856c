module isthmus/proto/tools/core

go 1.26.0
