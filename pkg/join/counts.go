package join

import (
	"errors"
	"path"

	"github.com/kelp-project/kelp/pkg/internal/tally"
	"github.com/kelp-project/kelp/pkg/token"
)

// What becomes of requests, and of the tokens that come with them.
const (
	answered  = "answered"
	refused   = "refused"
	failed    = "failed"
	accepted  = "accepted"
	tooMany   = "too-many"
	malformed = "malformed"
	unknown   = "unknown"
	expired   = "expired"
	used      = "used"
)

// Requests counts requests by what was asked for and what became of it.
func (s *Server) Requests() map[tally.Key]uint64 { return s.requests.Counts() }

// Tokens counts uses of tokens by role and result.
func (s *Server) Tokens() map[tally.Key]uint64 { return s.tokens.Counts() }

func newTallies() (requests, tokens *tally.Tally) {
	requests = tally.New([]string{path.Base(clusterPath), path.Base(nodePath), path.Base(peerPath)}, []string{answered, refused, failed})
	tokens = tally.New([]string{string(token.Server), string(token.Agent), unknown}, []string{accepted, expired, malformed, tooMany, unknown, used})
	return requests, tokens
}

// roleOf is the role that a token claims, of the two that there are: what
// strangers write must not become a label.
func roleOf(t token.Token) string {
	if t.Role == token.Server || t.Role == token.Agent {
		return string(t.Role)
	}
	return unknown
}

func resultOf(refused error) string {
	switch {
	case errors.Is(refused, token.ErrExpired):
		return expired
	case errors.Is(refused, token.ErrUsed):
		return used
	}
	return unknown
}
