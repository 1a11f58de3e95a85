package monitor

import "context"

// keepNetwork has the root's network healed when somebody has taken something of it away, such as a firewall that was loaded
// anew. Each group's monitor does that for all: the first one finds something to do.
func (m *Monitor) keepNetwork(ctx context.Context) {
	net := m.engine.Network()
	changed, err := net.Watch(ctx)
	if err != nil {
		m.log.Error("cannot watch the network", "err", err)
		return
	}
	for {
		fault, err := net.Heal(ctx) // first: whatever happened while no monitor watched
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			m.log.Error("cannot heal the network", "fault", fault, "err", err)
		case fault != "":
			m.log.Info("healed the network", "fault", fault)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
