//go:build tools

// Package kubernetes pins the versions of the outside judges of the Kubernetes side: a real API server with its
// controllers and store, and the Gateway API conformance suite with its back ends. Nothing of them is copied here.
package kubernetes

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "sigs.k8s.io/gateway-api/conformance"
	_ "sigs.k8s.io/gateway-api/conformance/echo-basic"
)
