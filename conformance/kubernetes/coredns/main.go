// CoreDNS with the plugins that the Gateway API suite's Corefile names, and no others.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/whoami"
)

func main() {
	// The order in which a query passes the plugins; CoreDNS runs none that is not listed.
	dnsserver.Directives = []string{"errors", "log", "whoami", "forward"}
	coremain.Run()
}
