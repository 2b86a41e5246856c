//go:build tools

// Package echo pins the version of what the mesh profiles of the Gateway API suite run in their pods: the image
// echo-advanced is Istio's echo application. Nothing of it is copied here.
package echo

import (
	_ "istio.io/istio/pkg/test/echo/cmd/client"
	_ "istio.io/istio/pkg/test/echo/cmd/server"
)
