package trial

import (
	"strings"
	"testing"
)

// TestScenes plays the known interleavings. A scene that fails shows its trace.
func TestScenes(t *testing.T) {
	for _, s := range Scenes {
		t.Run(s.Name, func(t *testing.T) {
			if err := s.Play(nil); err != nil {
				var trace strings.Builder
				_ = s.Play(&trace)
				t.Errorf("%v\n%s", err, trace.String())
			}
		})
	}
}
