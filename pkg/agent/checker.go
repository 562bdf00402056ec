package agent

import (
	"crypto/tls"
	"net/http"
	"time"
)

// newChecker returns the client of health checks. A connection is kept for
// the next check, so that one costs a packet each way.
func newChecker() *http.Client {
	return &http.Client{
		Timeout: 2 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
			MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second,
		},
	}
}
