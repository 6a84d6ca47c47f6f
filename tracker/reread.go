package tracker

import "slipstream/tracker/server"

// reread puts in force what the configuration says now. If it cannot be used, what was in force stays, and the log has a
// sentence.
func (t *Tracker) reread(cfg Config) {
	policy, err := cfg.Reread()
	if err == nil {
		err = t.server.Change(policy)
	}
	if err != nil {
		cfg.Log.Error("the configuration is not used, and the former stays in force", "error", err)
		return
	}
	cfg.Log.Info("the configuration was read again")
}

// Use puts a policy into a configuration.
func (c *Config) Use(p server.Policy) {
	c.Secret, c.Keys, c.Sharing, c.Caps, c.Origins, c.Limits = p.Secret, p.Keys, p.Sharing, p.Caps, p.Origins, p.Limits
}
