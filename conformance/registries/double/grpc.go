package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A stream is one connection of a client, as far as pushes go. Its requests come as calls of their own on the same
// connection, which is how they find it.
type stream struct {
	peer  string
	wants map[string]bool
	out   chan push
}

const waitingPushes = 20000

func grpcHandler(state *state) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		switch {
		case strings.HasSuffix(r.URL.Path, "/request"):
			asked, err := readMessage(r.Body)
			if err == nil {
				state.count(asked.kind)
				kind, body := state.answer(r.RemoteAddr, asked)
				_, _ = w.Write(encode(kind, body))
			}
			w.Header().Set("Grpc-Status", "0")
		case strings.HasSuffix(r.URL.Path, "/requestBiStream"):
			state.serve(w, r)
		default:
			w.Header().Set("Grpc-Status", "12")
		}
	})
}

// serve waits for what the client says and sends what there is to push.
func (s *state) serve(w http.ResponseWriter, r *http.Request) {
	one := &stream{peer: r.RemoteAddr, wants: map[string]bool{}, out: make(chan push, waitingPushes)}
	s.mutex.Lock()
	s.streams[one] = struct{}{}
	s.mutex.Unlock()
	defer func() {
		s.mutex.Lock()
		delete(s.streams, one)
		s.mutex.Unlock()
	}()
	flush := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	_ = flush.Flush()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			said, err := readMessage(r.Body)
			if err != nil {
				return
			}
			s.count(said.kind)
		}
	}()
	for {
		select {
		case <-ended:
			return
		case next := <-one.out:
			if _, err := w.Write(next.frame); err != nil {
				return
			}
			if next.asked.IsZero() && len(one.out) > 0 {
				continue
			}
			_ = flush.Flush()
			s.written(next)
		}
	}
}

type question struct {
	RequestID   string `json:"requestId"`
	ServiceName string `json:"serviceName"`
	GroupName   string `json:"groupName"`
	PageNo      int    `json:"pageNo"`
	PageSize    int    `json:"pageSize"`
	Subscribe   bool   `json:"subscribe"`
}

func (s *state) answer(peer string, asked message) (string, map[string]any) {
	var q question
	_ = json.Unmarshal(asked.body, &q)
	ok := map[string]any{"resultCode": 200, "errorCode": 0, "success": true, "requestId": q.RequestID}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.muted[q.ServiceName] {
		return "ErrorResponse", map[string]any{
			"resultCode": 500, "errorCode": 500, "success": false, "message": "muted", "requestId": q.RequestID,
		}
	}
	switch asked.kind {
	case "ServerCheckRequest":
		ok["connectionId"] = fmt.Sprintf("%d_%s", time.Now().UnixMilli(), peer)
		ok["supportAbilityNegotiation"] = false
	case "HealthCheckRequest":
	case "ServiceListRequest":
		names := slices.Sorted(maps.Keys(s.services))
		ok["count"] = len(names)
		from := min(len(names), max(0, q.PageNo-1)*q.PageSize)
		ok["serviceNames"] = names[from:min(len(names), from+q.PageSize)]
		if q.GroupName != "" && q.GroupName != group {
			ok["count"], ok["serviceNames"] = 0, []string{}
		}
	case "SubscribeServiceRequest":
		for one := range s.streams {
			if one.peer == peer {
				one.wants[q.ServiceName] = q.Subscribe
			}
		}
		ok["serviceInfo"] = s.info(q.ServiceName)
	case "ServiceQueryRequest":
		ok["serviceInfo"] = s.info(q.ServiceName)
		return "QueryServiceResponse", ok
	default:
		return "ErrorResponse", map[string]any{
			"resultCode": 500, "errorCode": 302, "success": false, "message": "RequestHandler Not Found", "requestId": q.RequestID,
		}
	}
	return strings.TrimSuffix(asked.kind, "Request") + "Response", ok
}
