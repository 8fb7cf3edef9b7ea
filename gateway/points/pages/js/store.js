// What this phone keeps: its handle and its key. The key is a CryptoKey that cannot be exported:
// after enrolment no script can read the secret any more, not even this page's.

const NAME = "boxback";
const TABLE = "phone";
const ONLY = "me";

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new DOMException("blocked", "InvalidStateError"));
  });
}

async function inTable(mode, work) {
  const db = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = db.transaction(TABLE, mode);
      const request = work(transaction.objectStore(TABLE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    db.close();
  }
}

/** {handle, key, name} or undefined. Throws when the browser forbids storage. */
export function loadPhone() {
  return inTable("readonly", (table) => table.get(ONLY));
}

/** Keep {handle, name} and the secret (base64url) as a key that only signs. */
export async function savePhone({ handle, name, secret }) {
  const raw = Uint8Array.from(atob(secret.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  raw.fill(0);
  const phone = { handle, name, key };
  await inTable("readwrite", (table) => table.put(phone, ONLY));
  return phone;
}
