//go:build !linux

package server

import "time"

// awake is how long the machine runs, with the time for which it slept; 0 where nobody says.
func awake() time.Duration { return 0 }
