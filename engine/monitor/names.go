package monitor

import (
	"context"
	"sync"
)

// Resolver answers names inside the namespaces of pods. netstack/dns has the one that counts.
type Resolver interface {
	// Serve returns when queries from the namespace of the attachment id are answered; what served it before is replaced.
	Serve(ctx context.Context, id string) error
	// Stop closes every socket in the namespace of the attachment; one that is not served is fine.
	Stop(id string)
}

// served remembers for whom the resolver works, and asks one thing at a time of it for each attachment.
type served struct {
	resolver Resolver
	mu       sync.Mutex
	ids      map[string]*attachment
}

type attachment struct {
	mu sync.Mutex // held while the resolver is asked
	on bool
}

func (s *served) of(id string) *attachment {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.ids[id]
	if a == nil {
		a = &attachment{}
		s.ids[id] = a
	}
	return a
}

// serve is for a start: everything in the namespace may be new.
func (s *served) serve(ctx context.Context, id string) error { return s.ask(ctx, id, true) }

// resume is for a pod that is found at work: it serves unless that is done already.
func (s *served) resume(ctx context.Context, id string) error { return s.ask(ctx, id, false) }

func (s *served) ask(ctx context.Context, id string, anew bool) error {
	a := s.of(id)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.on && !anew {
		return nil
	}
	err := s.resolver.Serve(ctx, id)
	a.on = err == nil
	return err
}

func (s *served) stop(id string) {
	a := s.of(id)
	a.mu.Lock()
	defer a.mu.Unlock()
	s.resolver.Stop(id)
	s.mu.Lock()
	delete(s.ids, id)
	s.mu.Unlock()
}
