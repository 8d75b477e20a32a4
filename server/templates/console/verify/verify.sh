# SECRET: the secret above. ID, TIMESTAMP and SIGNATURE: the headers webhook-id, webhook-timestamp and
# webhook-signature. body.json: the body, byte for byte as it came (try it with curl --data-binary @body.json).
key=$(printf %s "${SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
mine=$( { printf '%s.%s.' "$ID" "$TIMESTAMP"; cat body.json; } |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)
age=$(( $(date +%s) - TIMESTAMP ))
[ "${age#-}" -le 300 ] || { echo "too old"; exit 1; }
case " $SIGNATURE " in
  *" v1,$mine "*) echo "genuine" ;;
  *) echo "forged"; exit 1 ;;
esac
