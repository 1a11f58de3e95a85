package dockerapi

import (
	"strings"
	"testing"

	"podc.example/podc/api"
)

// As docker compose 5.6.0 shows them.
func TestPortsAreShownAsRanges(t *testing.T) {
	p := api.Pod{
		Exposed: []string{"443/tcp", "80/tcp", "81/tcp", "81/udp", "82/tcp", "8080/tcp"},
		Ports: []api.Port{{HostPort: 9000, Container: 8080, Protocol: "tcp"}, {HostPort: 9001, Container: 8081, Protocol: "tcp"},
			{HostPort: 9003, Container: 8083, Protocol: "tcp"}},
	}
	const want = "80-82/tcp, 81/udp, 443/tcp, 0.0.0.0:9000-9001->8080-8081/tcp, 0.0.0.0:9003->8083/tcp"
	if got := strings.Join(PortList(p), ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
