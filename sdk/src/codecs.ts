/** A codec as RTCRtpSender.getCapabilities lists it. */
export interface Codec {
  mimeType: string;
  clockRate: number;
  channels?: number;
  sdpFmtpLine?: string;
}

/** What goes with each video codec: its retransmissions. Each of them makes the offer longer. */
const videoCompanions: readonly string[] = ["video/rtx"];

/**
 * The codecs to offer for sound: RED (RFC 2198) first, so that a lost packet's
 * sound comes with the next, and Opus. Whoever does not want RED leaves it out of
 * the answer.
 */
export function audioCodecs<C extends Codec>(capabilities: readonly C[]): C[] {
  const named = (name: string) => capabilities.filter((c) => c.mimeType.toLowerCase() === name);
  return [...named("audio/red"), ...named("audio/opus")].filter((c) => c.clockRate === 48_000);
}

/**
 * Whether every browser decodes this profile of a codec: of H264 that is the
 * constrained baseline, in packets that hold more than one unit or part of one
 * (RFC 7742, section 6.2); of the others, profile 0.
 */
function everybodys({ mimeType, sdpFmtpLine = "" }: Codec): boolean {
  if (mimeType.toLowerCase() === "video/h264") return /packetization-mode=1/.test(sdpFmtpLine) && /profile-level-id=42e0/i.test(sdpFmtpLine);
  return !/profile(-id)?=[1-9]/.test(sdpFmtpLine);
}

/**
 * The codecs to offer for pictures: the wanted ones in their order, one profile of
 * each, and retransmission. With everything that a browser knows an offer of 28
 * streams is 139 KB long, trimmed 57 KB. VP8 is always among them.
 */
export function videoCodecs<C extends Codec>(capabilities: readonly C[], wanted: readonly string[] = ["vp8"]): C[] {
  const names = [...new Set([...wanted.map((w) => w.toLowerCase()), "vp8"])];
  const chosen = names.flatMap((name) => {
    const profiles = capabilities.filter((c) => c.mimeType.toLowerCase() === `video/${name}`);
    const chosen = profiles.find((c) => everybodys(c)) ?? (name === "h264" ? undefined : profiles[0]);
    return chosen ? [chosen] : [];
  });
  return [...chosen, ...capabilities.filter((c) => videoCompanions.includes(c.mimeType.toLowerCase()))];
}
