package token

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"time"

	"golang.org/x/crypto/argon2"
)

// Record is a token as a cluster keeps it: without its secret. Whoever reads
// it cannot join with it.
type Record struct {
	ID          string    `json:"id"`
	Role        Role      `json:"role"`
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created,omitzero"`
	Expires     time.Time `json:"expires,omitzero"` // zero: never
	Once        bool      `json:"once,omitempty"`   // good for one machine
	Node        string    `json:"node,omitempty"`   // good for the machine that is to have this name, whoever had it before
	Used        time.Time `json:"used,omitzero"`    // of one that is good once: when it was

	salt, hash []byte
	sealed     []byte // one of the cluster's own, for its servers
}

// The errors of Check. Strangers are told none of them apart.
var (
	ErrSecret  = errors.New("the secret is wrong")
	ErrExpired = errors.New("the token has expired")
	ErrUsed    = errors.New("the token was good for one machine and has been used")
)

// The cost of hashing: 8 MiB and about 10 ms. Random secrets would need none;
// it is for those that people choose.
const (
	hashTime   = 1
	hashMemory = 8 << 10 // KiB
	hashBytes  = 32
	saltBytes  = 16
)

// RecordOf is what is kept of a token.
func RecordOf(t Token, now time.Time) Record {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the process first
	return Record{ID: t.ID, Role: t.Role, Created: now.UTC().Truncate(time.Second), salt: salt, hash: hashSecret(t.Secret, salt)}
}

func hashSecret(secret string, salt []byte) []byte {
	return argon2.IDKey([]byte(secret), salt, hashTime, hashMemory, 1, hashBytes)
}

// Check says why a secret is not good, in a time that does not depend on how
// much of it is right.
func (r Record) Check(secret string, now time.Time) error {
	switch {
	case subtle.ConstantTimeCompare(hashSecret(secret, r.salt), r.hash) != 1:
		return ErrSecret
	case !r.Expires.IsZero() && now.After(r.Expires):
		return ErrExpired
	case r.Once && !r.Used.IsZero():
		return ErrUsed
	}
	return nil
}
