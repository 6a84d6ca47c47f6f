package tracker

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestReadinessTellsItsReasons(t *testing.T) {
	tr, err := NewHandler(Config{Secret: secret, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (status int, got readiness) {
		answer := httptest.NewRecorder()
		tr.Ready().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v", answer.Body, err)
		}
		return answer.Code, got
	}
	if status, got := ask(); status != http.StatusOK || !got.Ready || got.Reasons == nil || len(got.Reasons) > 0 {
		t.Errorf("a tracker that runs: %d, %+v", status, got)
	}
	tr.Close()
	if status, got := ask(); status != http.StatusServiceUnavailable || got.Ready || len(got.Reasons) != 1 || got.Reasons[0].Code != "stopping" {
		t.Errorf("a tracker that has stopped: %d, %+v", status, got)
	}
}
