// A Nacos-shaped server that can push as fast as wanted, for loads that no real one bears, and say what no real one says.
//
//	double -listen 10.99.0.1:8848    HTTP there, gRPC at the port + 1000
//
// HTTP, for the test: POST /bed/fill?services=N&instances=M, POST /bed/storm?rate=R&seconds=S,
// POST /bed/service?name=X (body: the list of hosts as JSON), POST /bed/mute?name=X, GET /bed/stats.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8848", "address of HTTP; gRPC is at the port + 1000")
	merge := flag.Duration("merge", 500*time.Millisecond, "how long changes of a service are gathered before a push, as Nacos does")
	flag.Parse()
	host, port, err := net.SplitHostPort(*listen)
	if err != nil {
		log.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		log.Fatal(err)
	}
	state := newState(*merge)
	go state.pushes()
	grpc := &http.Server{Addr: net.JoinHostPort(host, strconv.Itoa(number+1000)), Handler: grpcHandler(state)}
	grpc.Protocols = new(http.Protocols)
	grpc.Protocols.SetUnencryptedHTTP2(true)
	grpc.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 10000}
	go func() { log.Fatal(grpc.ListenAndServe()) }()
	log.Fatal(http.ListenAndServe(*listen, httpHandler(state)))
}

func httpHandler(state *state) http.Handler {
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, value any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	}
	mux.HandleFunc("GET /nacos/v3/admin/core/state", func(w http.ResponseWriter, _ *http.Request) {
		ok(w, map[string]any{"code": 0, "data": map[string]string{"version": "3.1.0", "startup_mode": "standalone"}})
	})
	mux.HandleFunc("GET /nacos/v1/console/server/state", func(w http.ResponseWriter, _ *http.Request) {
		ok(w, map[string]string{"version": "2.3.2", "standalone_mode": "standalone"})
	})
	mux.HandleFunc("GET /nacos/v3/admin/ns/service/list", func(w http.ResponseWriter, r *http.Request) {
		state.count("GET v3/admin/ns/service/list")
		ok(w, state.page(whole(r, "pageNo"), whole(r, "pageSize")))
	})
	mux.HandleFunc("POST /bed/fill", func(w http.ResponseWriter, r *http.Request) {
		state.fill(whole(r, "services"), whole(r, "instances"))
		ok(w, state.stats())
	})
	mux.HandleFunc("POST /bed/storm", func(w http.ResponseWriter, r *http.Request) {
		ok(w, state.storm(whole(r, "rate"), time.Duration(whole(r, "seconds"))*time.Second))
	})
	mux.HandleFunc("POST /bed/service", func(w http.ResponseWriter, r *http.Request) {
		var hosts []json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&hosts); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		state.set(r.URL.Query().Get("name"), hosts)
		ok(w, state.stats())
	})
	mux.HandleFunc("POST /bed/mute", func(w http.ResponseWriter, r *http.Request) {
		state.mute(r.URL.Query().Get("name"))
		ok(w, state.stats())
	})
	mux.HandleFunc("GET /bed/stats", func(w http.ResponseWriter, _ *http.Request) { ok(w, state.stats()) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		state.count(fmt.Sprintf("HTTP %s %s", r.Method, r.URL.Path))
		http.NotFound(w, r)
	})
	return mux
}

func whole(r *http.Request, name string) int {
	value, _ := strconv.Atoi(r.URL.Query().Get(name))
	return value
}
