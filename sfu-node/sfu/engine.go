package sfu

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/sfu-node/layer"
)

// codec numbers what a payload type stands for.
type codec uint8

const (
	codecNone codec = iota
	codecOpus
	codecRED // RFC 2198 around Opus
	codecVP8
	codecH264
	codecVP9
	codecAV1
	codecs
)

// codecOf reads a media type such as "video/VP8".
func codecOf(mime string) codec {
	switch strings.ToLower(mime) {
	case "audio/opus":
		return codecOpus
	case "audio/red":
		return codecRED
	case "video/vp8":
		return codecVP8
	case "video/h264":
		return codecH264
	case "video/vp9":
		return codecVP9
	case "video/av1":
		return codecAV1
	}
	return codecNone
}

// name is the codec's name in package layer.
func (c codec) name() layer.Codec {
	return [codecs]layer.Codec{"", layer.CodecOpus, layer.CodecOpus, layer.CodecVP8, layer.CodecH264, layer.CodecVP9, layer.CodecAV1}[c]
}

// rate is the codec's RTP clock in Hz.
func rate(kind webrtc.RTPCodecType) uint32 {
	if kind == webrtc.RTPCodecTypeAudio {
		return 48000
	}
	return 90000
}

// audioLevelURI is RFC 6464's header extension.
const audioLevelURI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"

// videoCodecs are those a profile may list. The payload types matter only where
// an offer leaves them open, which none does.
var videoCodecs = map[string]struct {
	mime, fmtp string
	pt         webrtc.PayloadType
}{
	"vp8":  {webrtc.MimeTypeVP8, "", 96},
	"h264": {webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", 102},
	"vp9":  {webrtc.MimeTypeVP9, "profile-id=0", 98},
	"av1":  {webrtc.MimeTypeAV1, "", 45},
}

// allowed lists the codecs of a kind that a profile allows, VP8 always among
// them.
func allowed(kind webrtc.RTPCodecType, profile []string) []webrtc.RTPCodecParameters {
	parameters := func(mime string, pt webrtc.PayloadType, channels uint16, fmtp string, feedback []webrtc.RTCPFeedback) webrtc.RTPCodecParameters {
		return webrtc.RTPCodecParameters{PayloadType: pt, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: mime, ClockRate: rate(kind), Channels: channels, SDPFmtpLine: fmtp, RTCPFeedback: feedback,
		}}
	}
	if kind == webrtc.RTPCodecTypeAudio {
		feedback := []webrtc.RTCPFeedback{{Type: "transport-cc"}}
		return []webrtc.RTPCodecParameters{
			parameters(webrtc.MimeTypeOpus, 111, 2, "minptime=10;useinbandfec=1", feedback),
			parameters("audio/red", 63, 2, "111/111", feedback),
		}
	}
	names := slices.Clone(profile)
	if !slices.Contains(names, "vp8") {
		names = append(names, "vp8")
	}
	feedback := []webrtc.RTCPFeedback{{Type: "transport-cc"}, {Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	var list []webrtc.RTPCodecParameters
	for _, name := range names {
		if c, ok := videoCodecs[name]; ok {
			list = append(list,
				parameters(c.mime, c.pt, 0, c.fmtp, feedback),
				parameters(webrtc.MimeTypeRTX, c.pt+1, 0, fmt.Sprintf("apt=%d", c.pt), nil))
		}
	}
	return list
}

// mediaEngine knows the codecs of a profile and the header extensions that a
// node reads.
func mediaEngine(profile []string) (*webrtc.MediaEngine, error) {
	m := &webrtc.MediaEngine{}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		for _, c := range allowed(kind, profile) {
			if err := m.RegisterCodec(c, kind); err != nil {
				return nil, fmt.Errorf("register %s: %w", c.MimeType, err)
			}
		}
	}
	return m, registerExtensions(m, slices.Contains(profile, "av1"))
}

// registerExtensions registers the header extensions that a node reads and writes,
// with AV1 what its layers are told apart by.
func registerExtensions(m *webrtc.MediaEngine, av1 bool) error {
	in := []webrtc.RTPTransceiverDirection{webrtc.RTPTransceiverDirectionRecvonly}
	both := []webrtc.RTPTransceiverDirection{webrtc.RTPTransceiverDirectionRecvonly, webrtc.RTPTransceiverDirectionSendonly}
	for _, e := range []struct {
		kind webrtc.RTPCodecType
		uri  string
		ways []webrtc.RTPTransceiverDirection
	}{
		{webrtc.RTPCodecTypeAudio, sdp.SDESMidURI, in},
		{webrtc.RTPCodecTypeAudio, audioLevelURI, in},
		{webrtc.RTPCodecTypeAudio, sdp.TransportCCURI, both},
		{webrtc.RTPCodecTypeVideo, sdp.SDESMidURI, in},
		{webrtc.RTPCodecTypeVideo, sdp.SDESRTPStreamIDURI, in},
		{webrtc.RTPCodecTypeVideo, sdp.SDESRepairRTPStreamIDURI, in},
		{webrtc.RTPCodecTypeVideo, sdp.TransportCCURI, both},
		{webrtc.RTPCodecTypeVideo, layer.DependencyURI, both},
	} {
		if e.uri == layer.DependencyURI && !av1 {
			continue
		}
		if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: e.uri}, e.kind, e.ways...); err != nil {
			return fmt.Errorf("register %s: %w", e.uri, err)
		}
	}
	return nil
}

// api makes the WebRTC stack for one connection.
func (s *SFU) api(p *Peer) (*webrtc.API, error) {
	media, err := mediaEngine(p.profile.VideoCodecs)
	if err != nil {
		return nil, err
	}
	var set webrtc.SettingEngine
	set.LoggerFactory = quiet{}
	set.SetLite(true)
	set.SetNet(s.net)
	set.SetICEUDPMux(s.mux)
	set.SetICEBindingRequestHandler(p.onCheck)
	set.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	set.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	set.SetIncludeLoopbackCandidate(slices.ContainsFunc(s.cfg.Addresses, netip.Addr.IsLoopback))
	set.SetICETimeouts(s.cfg.QuietAfter, max(s.cfg.GoneAfter-s.cfg.QuietAfter, time.Second/10), 2*time.Second)
	// GCM first: it costs a sixth of AES-CM with HMAC. All browsers take it.
	profiles := []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80}
	if s.cfg.WithoutGCM {
		profiles = profiles[2:]
	}
	set.SetSRTPProtectionProfiles(profiles...)
	set.DetachDataChannels() // we read them: see hear
	agreed := &agreement{done: p.protect}
	set.SetDTLSServerHelloMessageHook(agreed.hello)
	set.SetDTLSKeyLogWriter(agreed)
	set.DisableMediaEngineCopy(true) // it is this connection's own
	if err := set.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return nil, err
	}
	// No interceptors: media never gets to the stack, and only we seal what leaves.
	return webrtc.NewAPI(webrtc.WithSettingEngine(set), webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(&interceptor.Registry{})), nil
}
