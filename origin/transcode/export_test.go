package transcode

import "time"

// SetClock gives a session another clock to judge the machine by.
func (cfg *Config) SetClock(clock func() time.Duration) { cfg.clock = clock }
