package etcd

import (
	"context"
	"testing"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestAStatusOfARemovedMemberEndsNothing(t *testing.T) {
	t.Parallel()
	_, err := outlive(t.Context(), nil, nil, func(context.Context, any) (any, error) {
		zap.NewNop().Panic(orphaned)
		return "", nil
	})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	defer func() {
		if r := recover(); r != "another" {
			t.Errorf("recovered %v: another panic has to go on", r)
		}
	}()
	_, err = outlive(t.Context(), nil, nil, func(context.Context, any) (any, error) { panic("another") })
	t.Errorf("returned %v", err)
}
