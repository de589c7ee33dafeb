package lightpeer

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// NewAPI makes a stack with Opus, VP8 and the header extensions of browsers, also
// for peers that speak another contract than ours. What it returns second is to be
// closed after the connection; it is nil without a socket of its own.
func NewAPI(opt Options) (*webrtc.API, ice.UDPMux, error) {
	media, err := mediaEngine(webrtc.PayloadType(cmp.Or(opt.VP8, 96)), webrtc.PayloadType(cmp.Or(opt.Opus, 111)))
	if err != nil {
		return nil, nil, err
	}
	registry := &interceptor.Registry{}
	generator, generatorErr := nack.NewGeneratorInterceptor()
	responder, responderErr := nack.NewResponderInterceptor()
	receiver, receiverErr := report.NewReceiverInterceptor()
	feedback, feedbackErr := twcc.NewSenderInterceptor()
	if err := errors.Join(generatorErr, responderErr, receiverErr, feedbackErr); err != nil {
		return nil, nil, fmt.Errorf("lightpeer: make interceptors: %w", err)
	}
	if !opt.Content {
		registry.Add(generator)
	}
	if !opt.Mute {
		registry.Add(feedback)
	}
	registry.Add(responder)
	registry.Add(receiver)
	if opt.Reports {
		sender, err := report.NewSenderInterceptor()
		if err != nil {
			return nil, nil, fmt.Errorf("lightpeer: make interceptors: %w", err)
		}
		registry.Add(sender)
	}
	var set webrtc.SettingEngine
	set.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	set.SetNetworkTypes(opt.Networks)
	if len(opt.Networks) == 0 {
		set.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	}
	set.SetHostAcceptanceMinWait(0)
	set.SetICETimeouts(5*time.Second, 10*time.Second, time.Second)
	if opt.Profile != 0 {
		set.SetSRTPProtectionProfiles(opt.Profile)
	}
	if opt.Loopback {
		set.SetIncludeLoopbackCandidate(true)
		set.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	}
	var mux ice.UDPMux
	if opt.Socket != nil {
		mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: opt.Socket})
		set.SetICEUDPMux(mux)
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(set)), mux, nil
}

func mediaEngine(vp8, sound webrtc.PayloadType) (*webrtc.MediaEngine, error) {
	media := &webrtc.MediaEngine{}
	feedback := []webrtc.RTCPFeedback{{Type: "transport-cc"}, {Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	err := errors.Join(
		media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: sound}, webrtc.RTPCodecTypeAudio),
		media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback}, PayloadType: vp8}, webrtc.RTPCodecTypeVideo),
		media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: fmt.Sprintf("apt=%d", vp8)}, PayloadType: vp8 + 1}, webrtc.RTPCodecTypeVideo),
	)
	for _, uri := range []string{sdp.SDESMidURI, audioLevelURI, sdp.TransportCCURI} {
		err = errors.Join(err, media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeAudio))
	}
	for _, uri := range []string{sdp.SDESMidURI, sdp.SDESRTPStreamIDURI, sdp.SDESRepairRTPStreamIDURI, sdp.TransportCCURI} {
		err = errors.Join(err, media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo))
	}
	if err != nil {
		return nil, fmt.Errorf("lightpeer: make media engine: %w", err)
	}
	return media, nil
}

const audioLevelURI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"

var opus = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}
