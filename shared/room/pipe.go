package room

// pipedInFull is how many cameras cross a pipe in all their layers: because they
// are shown large on one side and small on the other, and by somebody each.
const pipedInFull = 8

// PipeLoad is the load of one pipe of the room, at each of its ends: a bound on
// what is wanted across it and not on what is published. Nodes are a tree, so
// each layer of a publication crosses a pipe once and in one direction. Counted
// are a few cameras in full, one screen, as many further cameras in their
// smallest layer as one participant can receive, and the loudest voices. It is a
// constant of the profile: otherwise each grant on any node would write to all.
func (p Profile) PipeLoad() Load {
	full := min(p.MaxPublishers, pipedInFull)
	tiles := max(min(p.MaxPublishers, p.VideoStreams)-full, 0)
	camera := min(p.SendKbps, cameraKbps)
	kbps := int64(full)*camera + int64(tiles)*min(camera, tileKbps)
	if full > 0 {
		kbps += min(p.SendKbps-camera, screenKbps)
	}
	voices := int64(min(p.MaxPublishers, p.AudioStreams))
	return Load{Kbps: kbps + voices*audioKbps, PPS: kbps*1000/bitsPerVideoPacket + voices*audioPPS}
}

// fewPipes is for how many pipes a node keeps room, whatever its rooms do: a small
// room that outgrows its node moves whole.
const fewPipes = 1

// PipeReserve is what the room's seats leave free on a node of that capacity for
// pipes, a quarter of it at most: a few, and where the room has one already as
// many as it may have. So its tree is shallow, and any of its nodes can take
// the place of one that dies. It is less by those that the room has there.
func (r Room) PipeReserve(id NodeID, capacity Load) Load {
	want, have := fewPipes, r.Pipes(id)
	if have > 0 {
		want = Fanout + 1
	}
	return r.Profile.pipes(want, have, capacity)
}

func (p Profile) pipes(want, have int, capacity Load) Load {
	pipe := p.PipeLoad()
	bounded := func(pipe, capacity int64) int64 {
		return max(min(pipe*int64(want), capacity/4)-pipe*int64(have), 0)
	}
	return Load{Kbps: bounded(pipe.Kbps, capacity.Kbps), PPS: bounded(pipe.PPS, capacity.PPS)}
}
