package auth

import "sync"

// Slots bound what goes on for long, such as streams: for each one who has them open, and for all together.
type Slots struct {
	Each, All int // at most

	mu   sync.Mutex
	open map[string]int // guarded by mu
	all  int            // guarded by mu
}

// Enter takes a slot. leave gives it back, and may be called more than once; it is nil when there is none left.
func (s *Slots) Enter(who string) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= s.All || s.open[who] >= s.Each {
		return nil
	}
	if s.open == nil {
		s.open = map[string]int{}
	}
	s.open[who]++
	s.all++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.open[who]--; s.open[who] == 0 {
			delete(s.open, who)
		}
	})
}

// Open is how many slots are taken.
func (s *Slots) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}
