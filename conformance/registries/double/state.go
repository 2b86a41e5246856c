package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

const group = "DEFAULT_GROUP"

type state struct {
	merge time.Duration

	mutex    sync.Mutex
	services map[string]*service
	dirty    map[string]time.Time
	streams  map[*stream]struct{}
	muted    map[string]bool
	counts   map[string]int
	pushed   int
	// From the call that set a service to the last byte of its push handed to the network, seconds.
	lags []float64
}

// A push; `asked` is when a test set the service, and nothing for the storm's own.
type push struct {
	frame []byte
	asked time.Time
}

type service struct {
	hosts   []json.RawMessage
	changed time.Time
	asked   time.Time
}

func newState(merge time.Duration) *state {
	return &state{
		merge:    merge,
		services: map[string]*service{},
		dirty:    map[string]time.Time{},
		streams:  map[*stream]struct{}{},
		muted:    map[string]bool{},
		counts:   map[string]int{},
	}
}

func (s *state) count(what string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.counts[what]++
}

func (s *state) stats() map[string]any {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	waiting := 0
	for one := range s.streams {
		waiting += len(one.out)
	}
	return map[string]any{
		"services": len(s.services), "streams": len(s.streams), "requests": maps.Clone(s.counts), "pushes": s.pushed,
		"waiting": waiting, "lags": slices.Clone(s.lags),
	}
}

func host(name string, ip string, port int) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(
		`{"instanceId":"%s#%d#DEFAULT#%s","ip":"%s","port":%d,"weight":1.0,"healthy":true,"enabled":true,"ephemeral":true,`+
			`"clusterName":"DEFAULT","serviceName":"%s@@%s","metadata":{"version":"v1","zone":"z1"}}`,
		ip, port, name, ip, port, group, name))
}

func address(number int) string {
	return fmt.Sprintf("10.99.%d.%d", 4+number/250%250, number%250+1)
}

func (s *state) fill(services, instances int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for i := range services {
		name := fmt.Sprintf("svc-%05d", i)
		one := &service{changed: time.Now()}
		for j := range instances {
			one.hosts = append(one.hosts, host(name, address(i*instances+j), 8000+j))
		}
		s.services[name] = one
	}
}

func (s *state) set(name string, hosts []json.RawMessage) {
	asked := time.Now()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.services[name] = &service{hosts: hosts, changed: time.Now(), asked: asked}
	s.touch(name)
}

// mute makes every later question about a service fail; pushes go on.
func (s *state) mute(name string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.muted[name] = true
}

func (s *state) touch(name string) {
	if _, waits := s.dirty[name]; !waits {
		s.dirty[name] = time.Now()
	}
}

// storm registers new instances in place of old ones, evenly over all filled services and over the time.
func (s *state) storm(rate int, long time.Duration) map[string]any {
	s.mutex.Lock()
	names := slices.Sorted(maps.Keys(s.services))
	names = slices.DeleteFunc(names, func(name string) bool { return len(name) < 4 || name[:4] != "svc-" })
	before := s.pushed
	s.mutex.Unlock()
	if len(names) == 0 {
		return map[string]any{"error": "fill first"}
	}
	began, done := time.Now(), 0
	for time.Since(began) < long {
		due := int(time.Since(began).Seconds() * float64(rate))
		s.mutex.Lock()
		for ; done < due; done++ {
			name := names[done%len(names)]
			one := s.services[name]
			hosts := slices.Clone(one.hosts)
			hosts[done/len(names)%len(hosts)] = host(name, address(done), 8000+done%1000)
			s.services[name] = &service{hosts: hosts, changed: time.Now()}
			s.touch(name)
		}
		s.mutex.Unlock()
		time.Sleep(2 * time.Millisecond)
	}
	took := time.Since(began).Seconds()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return map[string]any{"registrations": done, "seconds": took, "pushes": s.pushed - before}
}

// pushes sends each changed service once its time of gathering is over. Frames are made without the lock, so that
// registrations go on meanwhile.
func (s *state) pushes() {
	for range time.Tick(5 * time.Millisecond) {
		due := map[string]service{}
		s.mutex.Lock()
		streams := slices.Collect(maps.Keys(s.streams))
		for name, since := range s.dirty {
			if time.Since(since) >= s.merge {
				delete(s.dirty, name)
				due[name] = *s.services[name]
			}
		}
		s.mutex.Unlock()
		for name, one := range due {
			s.push(streams, name, one)
		}
	}
}

func (s *state) push(streams []*stream, name string, one service) {
	next := push{frame: encode("NotifySubscriberRequest", notice(name, one)), asked: one.asked}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, to := range streams {
		if !to.wants[name] {
			continue
		}
		select {
		case to.out <- next:
			s.pushed++
		default:
			// The reader is behind; as in Nacos, the newest state is sent again later.
			s.touch(name)
		}
	}
}

func (s *state) written(one push) {
	if !one.asked.IsZero() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		s.lags = append(s.lags, time.Since(one.asked).Seconds())
	}
}

// notice is put together by hand: a general encoder would look at every byte of every host again, and the storm needs
// thousands of these a second.
func notice(name string, one service) []byte {
	quoted, _ := json.Marshal(name)
	out := fmt.Appendf(nil, `{"requestId":"%d","module":"naming","namespace":"public","serviceName":%s,"groupName":"%s",`,
		one.changed.UnixNano(), quoted, group)
	out = fmt.Appendf(out, `"serviceInfo":{"name":%s,"groupName":"%s","clusters":"","cacheMillis":10000,"lastRefTime":%d,`,
		quoted, group, one.changed.UnixMilli())
	out = append(out, `"checksum":"","allIPs":false,"reachProtectionThreshold":false,"valid":true,"hosts":[`...)
	for at, host := range one.hosts {
		if at > 0 {
			out = append(out, ',')
		}
		out = append(out, host...)
	}
	return append(out, "]}}"...)
}

// page is the list of Nacos 3's admin interface.
func (s *state) page(number, size int) map[string]any {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	names := slices.Sorted(maps.Keys(s.services))
	items := []map[string]any{}
	from := min(len(names), max(0, number-1)*size)
	for _, name := range names[from:min(len(names), from+size)] {
		items = append(items, map[string]any{"name": name, "groupName": group, "ipCount": len(s.services[name].hosts)})
	}
	data := map[string]any{"totalCount": len(names), "pageNumber": number, "pageItems": items}
	return map[string]any{"code": 0, "message": "success", "data": data}
}

// info is called with the lock held.
func (s *state) info(name string) map[string]any {
	hosts, changed := []json.RawMessage{}, time.Now()
	if one := s.services[name]; one != nil {
		hosts, changed = one.hosts, one.changed
	}
	return map[string]any{
		"name": name, "groupName": group, "clusters": "", "cacheMillis": 10000, "hosts": hosts,
		"lastRefTime": changed.UnixMilli(), "checksum": "", "allIPs": false, "reachProtectionThreshold": false, "valid": true,
	}
}
