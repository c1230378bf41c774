/** "registry:5000/team/node:22" → name and tag. An API that is told no tag pulls every tag there is. */
export function splitImage(image: string): { name: string; tag: string } {
  if (image.includes('@')) return { name: image, tag: '' }
  const colon = image.lastIndexOf(':')
  if (colon <= image.lastIndexOf('/')) return { name: image, tag: 'latest' }
  return { name: image.slice(0, colon), tag: image.slice(colon + 1) }
}
