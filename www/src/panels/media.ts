/**
 * Cameras and microphones, or a sentence that says why there is none.
 */

/** A camera or a microphone, which browsers give to pages of this machine and of servers with TLS only. */
export async function media(wanted: MediaStreamConstraints): Promise<MediaStream> {
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (!devices) throw new Error("the browser gives no camera and no microphone to a page without TLS");
  return devices.getUserMedia(wanted);
}
