package sfu

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
)

// answerWithin bounds how long the WebRTC stack may take to make an answer; it
// waits for nothing but itself.
const answerWithin = 5 * time.Second

// negotiate makes the connection that an offer asks for, and its answer. Every
// section gets its transceiver beforehand, tied to its mid, so that nothing
// depends on the order of sections.
func (p *Peer) negotiate(ctx context.Context, offer string) error {
	offer, err := p.readOffer(offer)
	if err != nil {
		return err
	}
	api, err := p.sfu.api(p)
	if err != nil {
		return fmt.Errorf("make media engine: %w", err)
	}
	p.pc, err = api.NewPeerConnection(webrtc.Configuration{
		Certificates: []webrtc.Certificate{p.sfu.identity.dtls},
		SDPSemantics: webrtc.SDPSemanticsUnifiedPlan,
		BundlePolicy: webrtc.BundlePolicyMaxBundle,
	})
	if err != nil {
		return fmt.Errorf("make connection: %w", err)
	}
	if err := p.prepare(); err != nil {
		return err
	}
	p.pc.SCTP().Transport().ICETransport().OnSelectedCandidatePairChange(p.follow)
	p.pc.OnConnectionStateChange(p.onState)

	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return p.badOffer("cannot be read", err)
	}
	if err := p.prefer(); err != nil {
		return p.badOffer("has no codec that the room takes", err)
	}
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return p.badOffer("cannot be answered", err)
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(answer); err != nil {
		return p.badOffer("cannot be answered", err)
	}
	p.intake.agree(p)
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	select {
	case <-gathered:
	case <-ctx.Done():
		return events.Errorf(events.CodeInternal, "no answer in time")
	}
	p.answer = events.Pack(withCandidates(p.pc.LocalDescription().SDP, p.sfu.further))
	return nil
}

// badOffer logs what the WebRTC stack said and returns what the browser is told.
func (p *Peer) badOffer(what string, err error) error {
	p.sfu.log.Info("offer refused", "room", p.seat.room, "key", p.seat.key, "error", err)
	return events.Errorf(events.CodeBadOffer, "offer %s", what)
}

// readOffer notes what the offer's sections are for; that they are what Media
// says is checked by [events.Offer]. It returns the offer without candidates, for
// which an ICE-lite agent has no use, and without SSRCs.
func (p *Peer) readOffer(offer string) (string, error) {
	var parsed sdp.SessionDescription
	if err := parsed.UnmarshalString(offer); err != nil {
		return "", p.badOffer("is not a session description", err)
	}
	for source, mid := range p.media.Sending() {
		p.sources[mid] = source
	}
	for _, m := range parsed.MediaDescriptions {
		mid, _ := m.Attribute(sdp.AttrKeyMID)
		m.Attributes = p.intake.declare(mid, withoutCandidates(m.Attributes))
	}
	plain, err := parsed.Marshal()
	if err != nil {
		return "", p.badOffer("is not a session description", err)
	}
	return string(plain), nil
}

func withoutCandidates(attributes []sdp.Attribute) []sdp.Attribute {
	kept := attributes[:0]
	for _, a := range attributes {
		if a.Key != sdp.AttrKeyCandidate && a.Key != sdp.AttrKeyEndOfCandidates {
			kept = append(kept, a)
		}
	}
	return kept
}

// prepare makes a transceiver for each section, and the data channel.
func (p *Peer) prepare() error {
	for mid, source := range p.sources {
		kind := webrtc.NewRTPCodecType(source.Kind())
		t, err := p.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		if err != nil {
			return fmt.Errorf("prepare section %s: %w", mid, err)
		}
		if err := t.SetMid(mid); err != nil {
			return fmt.Errorf("prepare section %s: %w", mid, err)
		}
		p.pubs[source] = newPublication(p, source)
		p.pubs[source].barred.Store(!p.person.MayPublish(source))
	}
	var err error
	if p.audio, err = p.prepareStreams(webrtc.RTPCodecTypeAudio, p.media.Audio, p.profile.AudioStreams); err != nil {
		return err
	}
	if p.video, err = p.prepareStreams(webrtc.RTPCodecTypeVideo, p.media.Video, p.profile.VideoStreams); err != nil {
		return err
	}
	negotiated, ordered, id := true, true, uint16(events.ChannelID)
	dc, err := p.pc.CreateDataChannel(events.ChannelLabel, &webrtc.DataChannelInit{Negotiated: &negotiated, Ordered: &ordered, ID: &id})
	if err != nil {
		return fmt.Errorf("prepare data channel: %w", err)
	}
	p.control = newControl(p, dc)
	inOrder, retransmits, pulseID := false, uint16(0), uint16(events.PulseID)
	pulse, err := p.pc.CreateDataChannel(events.PulseLabel, &webrtc.DataChannelInit{
		Negotiated: &negotiated, Ordered: &inOrder, MaxRetransmits: &retransmits, ID: &pulseID})
	if err != nil {
		return fmt.Errorf("prepare pulse channel: %w", err)
	}
	answerPings(p, pulse)
	return p.prepareData()
}

// prefer puts the codecs of the sections in which the participant sends in the
// order of the profile: browsers send the first one of the answer. Payload types
// are the offer's.
func (p *Peer) prefer() error {
	for _, t := range p.pc.GetTransceivers() {
		if t.Receiver() == nil || t.Kind() != webrtc.RTPCodecTypeVideo {
			continue
		}
		agreed := t.Receiver().GetParameters().Codecs
		slices.SortStableFunc(agreed, func(a, b webrtc.RTPCodecParameters) int {
			return preference(a, p.profile.VideoCodecs) - preference(b, p.profile.VideoCodecs)
		})
		if err := t.SetCodecPreferences(agreed); err != nil {
			return fmt.Errorf("section %s: %w", t.Mid(), err)
		}
	}
	return nil
}

// preference ranks a codec by a profile; retransmission goes last.
func preference(c webrtc.RTPCodecParameters, profile []string) int {
	id := codecOf(c.MimeType)
	if id == codecNone {
		return len(profile) + 1
	}
	if i := slices.Index(profile, string(id.name())); i >= 0 {
		return i
	}
	return len(profile)
}

// prepareStreams makes the receive streams of a kind. The profile bounds how
// many of them may carry anything; the rest stay empty.
func (p *Peer) prepareStreams(kind webrtc.RTPCodecType, mids []string, most int) ([]*stream, error) {
	var streams []*stream
	for i, mid := range mids {
		s := newStream(p, kind, mid)
		t, err := p.pc.AddTransceiverFromTrack(s, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			return nil, fmt.Errorf("prepare section %s: %w", mid, err)
		}
		if err := t.SetMid(mid); err != nil {
			return nil, fmt.Errorf("prepare section %s: %w", mid, err)
		}
		if i < most {
			streams = append(streams, s)
		}
	}
	return streams, nil
}
