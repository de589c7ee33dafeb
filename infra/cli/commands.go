package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/token"
)

type roomsCommand struct {
	Room string `arg:"" optional:"" help:"Show the people of this room."`
}

func (r roomsCommand) Run(ctx context.Context, c client, out output) error {
	if r.Room != "" {
		return show(ctx, c, out, "/v1/rooms/"+url.PathEscape(r.Room), func(v struct {
			People []struct {
				Identity, Name, Role, Node string
				JoinedAt                   time.Time
			}
		}) [][]string {
			rows := [][]string{{"IDENTITY", "NAME", "ROLE", "NODE", "SINCE"}}
			for _, p := range v.People {
				rows = append(rows, []string{p.Identity, p.Name, p.Role, p.Node, since(p.JoinedAt)})
			}
			return rows
		})
	}
	return show(ctx, c, out, "/v1/rooms", func(v struct {
		Rooms []struct {
			Name                                 string
			CreatedAt                            time.Time
			Participants, MaxParticipants, Seats int
			Nodes                                []string
		}
	}) [][]string {
		rows := [][]string{{"ROOM", "PEOPLE", "MOST", "SEATS GRANTED", "NODES", "SINCE"}}
		for _, r := range v.Rooms {
			rows = append(rows, []string{r.Name, strconv.Itoa(r.Participants), strconv.Itoa(r.MaxParticipants), strconv.Itoa(r.Seats), strings.Join(r.Nodes, " "), since(r.CreatedAt)})
		}
		return rows
	})
}

type nodesCommand struct{}

type kbps struct{ Kbps int64 }

func (nodesCommand) Run(ctx context.Context, c client, out output) error {
	return show(ctx, c, out, "/v1/nodes", func(v struct {
		Nodes []struct {
			ID, State, Type, Zone             string
			Participants, CPUPercent          int
			Capacity, Claimed, Free, Measured kbps
			Rooms                             []string
			Alive                             bool
			Since                             time.Time
		}
	}) [][]string {
		rows := [][]string{{"NODE", "STATE", "TYPE", "ZONE", "ALIVE", "PEOPLE", "ROOMS", "CLAIMED", "MEASURED", "FREE", "OF", "CPU", "SINCE"}}
		for _, n := range v.Nodes {
			rows = append(rows, []string{n.ID, n.State, n.Type, n.Zone, map[bool]string{true: "yes", false: "no"}[n.Alive], strconv.Itoa(n.Participants), strconv.Itoa(len(n.Rooms)),
				mbps(n.Claimed), mbps(n.Measured), mbps(n.Free), mbps(n.Capacity), strconv.Itoa(n.CPUPercent) + "%", since(n.Since)})
		}
		return rows
	})
}

type drainCommand struct {
	Node   string         `arg:"" help:"The node's id."`
	Within *time.Duration `help:"How long people may take to go; then they are made to. Without it, what the deployment is set to." placeholder:"5m"`
}

func (d drainCommand) Run(ctx context.Context, c client, out output) error {
	path := "/v1/nodes/" + url.PathEscape(d.Node) + "/drain"
	if d.Within != nil {
		if *d.Within < 0 || *d.Within%time.Second != 0 {
			return fmt.Errorf("--within is %v, expected whole seconds, such as 90s or 5m", *d.Within)
		}
		path += fmt.Sprintf("?withinSeconds=%d", int(d.Within.Seconds()))
	}
	var answer json.RawMessage
	if err := c.do(ctx, http.MethodPost, path, &answer); err != nil {
		return err
	}
	if out.json {
		return out.asJSON(answer)
	}
	var told struct {
		People int
		By     time.Time
	}
	if err := json.Unmarshal(answer, &told); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%s takes nobody new; %d people are asked to go elsewhere, and made to at %s\n", d.Node, told.People, told.By.Local().Format(time.TimeOnly))
	return err
}

type tokenCommand struct {
	Room     string        `arg:"" help:"The room."`
	Identity string        `arg:"" help:"Who joins."`
	JoinKeys string        `help:"The join keys, as the parameter in SSM has them: {\"id\": \"secret\"}." env:"SPILLWAY_JOIN_KEYS" required:"" placeholder:"JSON"`
	KeyID    string        `help:"Which key to sign with, where there are several." placeholder:"ID"`
	Name     string        `help:"Name to show."`
	Viewer   bool          `help:"May receive only."`
	Admin    bool          `help:"May mute, remove and promote others."`
	Life     time.Duration `help:"How long the token is valid." default:"1h"`
}

func (t tokenCommand) Run(out output) error {
	keys, err := token.ParseKeys([]byte(t.JoinKeys))
	if err != nil {
		return err
	}
	if t.KeyID == "" && len(keys) > 1 {
		return errors.New("there are several keys: name one with --key-id")
	}
	for id := range keys {
		if t.KeyID == "" {
			t.KeyID = id
		}
	}
	if t.Life <= 0 {
		return fmt.Errorf("--life is %v, expected a duration such as 1h", t.Life)
	}
	raw, err := token.Mint(t.KeyID, keys[t.KeyID], token.Claims{Identity: t.Identity, Name: t.Name, Room: t.Room, Join: true, Admin: t.Admin,
		CanPublish: !t.Viewer, CanSubscribe: true, CanPublishData: true, Expires: time.Now().Add(t.Life)})
	if err != nil {
		return err
	}
	if out.json {
		return out.asJSON(map[string]string{"token": raw})
	}
	_, err = fmt.Fprintln(out, raw)
	return err
}

type whyCommand struct {
	Last int `help:"How many decisions." default:"5"`
}

func (w whyCommand) Run(ctx context.Context, c client, out output) error {
	var v struct {
		Decisions []struct {
			At                time.Time
			Step, Choice, Why string
			Inputs            json.RawMessage
		}
	}
	if err := c.do(ctx, http.MethodGet, "/v1/overview", &v); err != nil {
		return err
	}
	if len(v.Decisions) > w.Last {
		v.Decisions = v.Decisions[:max(w.Last, 0)]
	}
	if out.json {
		return out.asJSON(v.Decisions)
	}
	for _, d := range v.Decisions {
		// Made again from its inputs, as if its line had been found in the log.
		line, err := json.Marshal(map[string]any{"msg": "decision", "step": d.Step, "choice": d.Choice, "why": d.Why, "inputs": d.Inputs})
		if err != nil {
			return err
		}
		text, err := placement.Explain(string(line))
		if err != nil { // not one that can be made again
			text = d.Why + "\n"
		}
		if _, err := fmt.Fprintf(out, "%s %s: %s\n%s\n", d.At.Format(time.TimeOnly), d.Step, d.Choice, text); err != nil {
			return err
		}
	}
	return nil
}

func since(t time.Time) string { return time.Since(t).Round(time.Second).String() }

func mbps(l kbps) string { return fmt.Sprintf("%.1f Mbps", float64(l.Kbps)/1000) }
