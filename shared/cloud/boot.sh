# From here on the machine is a plain Amazon Linux 2023. In this order: addresses
# (4 requests to the metadata service), credentials (2), the program (1, signed,
# within the Region), its checksum, the service. Nothing is installed.
: "${SPILLWAY_ROOT:=}" "${SPILLWAY_METADATA:=http://169.254.169.254}"
uptime() { cut -d' ' -f1 /proc/uptime; }
began=$(uptime)
session=$(curl -sSf --retry 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$SPILLWAY_METADATA/latest/api/token")
meta() { curl -sSf --retry 5 -H "X-aws-ec2-metadata-token: $session" "$SPILLWAY_METADATA/latest/$1"; }
private=$(meta meta-data/local-ipv4)
public=$(meta meta-data/public-ipv4 || true)
six=$(meta meta-data/ipv6 || true)
region=$(meta meta-data/placement/region)
credentials=$(meta "meta-data/iam/security-credentials/$(meta meta-data/iam/security-credentials/)")
field() { printf '%s' "$credentials" | tr -d ' \n' | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
bin="$SPILLWAY_ROOT/opt/spillway"
mkdir -p "$bin" "$SPILLWAY_ROOT/etc/systemd/system"
fetched=$(uptime)
# Its options come by standard input: what stands on a command line, everybody
# on the machine can read.
curl -sSf --retry 5 --retry-connrefused -o "$bin/sfu-node" -K - <<END
url = "$program"
aws-sigv4 = "aws:amz:$region:s3"
user = "$(field AccessKeyId):$(field SecretAccessKey)"
header = "x-amz-security-token: $(field Token)"
END
echo "$sha256  $bin/sfu-node" | sha256sum -c - >/dev/null || {
	echo "spillway: the program is not the one that was deployed" >&2
	exec "${SPILLWAY_POWEROFF:-poweroff}"
}
chmod 755 "$bin" "$bin/sfu-node"
verified=$(uptime)
cat >>"$etc/node.env" <<END
SPILLWAY_MEDIA_IP=${public:+$public,}$private${six:+,$six}
SPILLWAY_MEDIA_PORT=$port
SPILLWAY_TCP_PORT=$tcp
SPILLWAY_LOG=$log
SPILLWAY_HOST=$SPILLWAY_METADATA
SPILLWAY_BOOT_STAGES=script=$began,fetch=$fetched,verified=$verified
END
# The service needs no disk, and of AWS only to be told when the machine will be
# taken away. It is told to stop by the control plane and then exits with 0: the
# machine goes with it, and so it does when the node cannot be started.
cat >"$SPILLWAY_ROOT/etc/systemd/system/spillway.service" <<END
[Unit]
Description=Spillway node
StartLimitIntervalSec=60
StartLimitBurst=5
StartLimitAction=poweroff
SuccessAction=poweroff
[Service]
EnvironmentFile=$etc/node.env
ExecStart=$bin/sfu-node
Restart=on-failure
RestartSec=500ms
DynamicUser=yes
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
LimitNOFILE=1048576
END
sysctl -qw net.core.rmem_max=8388608 net.core.wmem_max=8388608 || true
"${SPILLWAY_SYSTEMCTL:-systemctl}" daemon-reload
exec "${SPILLWAY_SYSTEMCTL:-systemctl}" start --no-block spillway.service
