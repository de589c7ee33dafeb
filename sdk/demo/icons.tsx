import type { ComponentChildren } from "preact";

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg viewBox="0 0 24 24" width="22" height="22" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      {children}
    </svg>
  );
}

const slash = <path d="M4 4l16 16" />;
const microphone = <><rect x="9" y="3" width="6" height="11" rx="3" /><path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3" /></>;
const camera = <><rect x="3" y="6.5" width="12.5" height="11" rx="2.5" /><path d="M15.5 10.5l5-2.7v8.4l-5-2.7" /></>;

export const MicrophoneIcon = () => <Icon>{microphone}</Icon>;
export const MicrophoneOffIcon = () => <Icon>{microphone}{slash}</Icon>;
export const CameraIcon = () => <Icon>{camera}</Icon>;
export const CameraOffIcon = () => <Icon>{camera}{slash}</Icon>;
export const ScreenIcon = () => <Icon><rect x="3" y="4.5" width="18" height="12" rx="2.5" /><path d="M12 13.5v-5m0 0L9.7 10.8M12 8.5l2.3 2.3M8 20h8" /></Icon>;
export const LeaveIcon = () => <Icon><path d="M3.6 14.6c-.9-1-1-2.5.1-3.4 4.7-4 11.9-4 16.6 0 1.1.9 1 2.4.1 3.4l-.9 1a1.5 1.5 0 0 1-1.8.3l-2.5-1.3a1.5 1.5 0 0 1-.8-1.6l.2-1.1a9.5 9.5 0 0 0-5.2 0l.2 1.1a1.5 1.5 0 0 1-.8 1.6l-2.5 1.3a1.5 1.5 0 0 1-1.8-.3z" /></Icon>;
export const InfoIcon = () => <Icon><circle cx="12" cy="12" r="8.5" /><path d="M12 11.2v5M12 7.8v.1" /></Icon>;
export const ChatIcon = () => <Icon><path d="M4 6.5A2.5 2.5 0 0 1 6.5 4h11A2.5 2.5 0 0 1 20 6.5v7a2.5 2.5 0 0 1-2.5 2.5H11l-4.5 4v-4A2.5 2.5 0 0 1 4 13.5z" /><path d="M8 8.7h8M8 11.7h5" /></Icon>;
export const CloseIcon = () => <Icon><path d="M6 6l12 12M18 6L6 18" /></Icon>;
export const LinkIcon = () => <Icon><path d="M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1" /></Icon>;
export const PeopleIcon = () => <Icon><circle cx="9" cy="8.5" r="3.2" /><path d="M3 19c.4-3.3 2.9-5 6-5s5.6 1.7 6 5M15.5 5.6a3.2 3.2 0 0 1 0 5.8M17.8 14.4c1.8.7 3 2.2 3.2 4.6" /></Icon>;
export const SoundIcon = () => <Icon><path d="M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z" /><path d="M15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11" /></Icon>;
export const SlowIcon = () => <Icon><path d="M4 12a8 8 0 1 1 8 8" /><path d="M12 7.5V12l3 2" /></Icon>;
