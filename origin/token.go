package origin

import (
	"slipstream/origin/keys"
	"slipstream/origin/permit"
)

// Token signs a publishing token. The key is a file or, without one, that of the origin with this data directory.
func Token(dataDir, keyFile string, p permit.Permit) (string, error) {
	if err := keys.CheckName(p.Channel); err != nil {
		return "", err
	}
	key, err := openPermits(Config{DataDir: dataDir, PublishKey: keyFile})
	if err != nil {
		return "", err
	}
	return key.Sign(p)
}
