package cloud_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/spillway-sfu/spillway/shared/cloud"
	"github.com/spillway-sfu/spillway/shared/token"
)

// TestInstancesAreListedPageByPage lists more instances than EC2 puts into one
// answer; moto never divides one.
func TestInstancesAreListedPageByPage(t *testing.T) {
	const pages = 3
	asked := 0
	ec2 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := 0
		if token := r.FormValue("NextToken"); token != "" {
			if _, err := fmt.Sscanf(token, "page-%d", &page); err != nil {
				t.Errorf("token %q", token)
			}
		}
		if page != asked || r.FormValue("Filter.1.Name") != "tag:"+cloud.TagStack {
			t.Errorf("request %d asks for page %d, with the filter %q", asked, page, r.FormValue("Filter.1.Name"))
		}
		asked++
		next := ""
		if page < pages-1 {
			next = fmt.Sprintf("<nextToken>page-%d</nextToken>", page+1)
		}
		_, _ = fmt.Fprintf(w, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet><item><instancesSet><item>
<instanceId>i-%d</instanceId><instanceState><code>16</code><name>running</name></instanceState>
<tagSet><item><key>%s</key><value>n-%d</value></item></tagSet>
</item></instancesSet></item></reservationSet>%s</DescribeInstancesResponse>`, page, cloud.TagNode, page, next)
	}))
	defer ec2.Close()
	list, err := cloud.NewFleet(motoConfig(ec2.URL), cloud.FleetConfig{Stack: "a", Template: "spillway-a", Tokens: token.Root(make([]byte, token.RootSize)),
		Log: slog.New(slog.DiscardHandler)}).List(t.Context())
	if err != nil || len(list) != pages {
		t.Fatalf("%d instances, want %d: %v", len(list), pages, err)
	}
	for i, one := range list {
		if one.ID != fmt.Sprintf("i-%d", i) || string(one.Node) != fmt.Sprintf("n-%d", i) || one.Gone {
			t.Errorf("instance %d is %+v", i, one)
		}
	}
}
