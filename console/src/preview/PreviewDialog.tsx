import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { parse, stringify } from 'yaml'
import { queries } from '../api/hooks'
import { type Answer, ApiError, send } from '../api/http'
import { useMe } from '../api/me'
import type { ChangeReport, Document } from '../api/types'
import { useTexts } from '../i18n'
import { useCommon } from '../i18n/common'
import { Act, CopyButton, Notice, saveFile } from '../ui/basics'
import { TextField } from '../ui/form'
import { Dialog } from '../ui/overlays'
import { ErrorCard, Skeleton } from '../ui/states'
import { useToasts } from '../ui/toasts'
import type { PreviewRequest, Write } from '.'
import { merge } from './merge'
import { ReportTabs, TextDiff } from './Report'
import { T } from './texts'

function ask(
  write: Write,
  query: Record<string, string | boolean | undefined>,
): Promise<Answer<ChangeReport>> {
  const { method, path, body, headers } = write
  return send<ChangeReport>(path, { method, body, headers, query: { ...write.query, ...query } })
}

function textOf({ body }: Write): string {
  return typeof body === 'string' ? body : ''
}

/** For somebody else to write. What has no text of its own is shown as it would be; a Secret without values is of no use. */
function yamlOf(write: Write, { objects }: ChangeReport): string {
  const made = objects.filter(
    ({ kind, action, after }) => kind !== 'Secret' && action !== 'unchanged' && after,
  )
  return textOf(write) || made.map(({ after }) => after).join('---\n')
}

/** What no YAML says: that these go. */
function goneIn({ objects }: ChangeReport): string[] {
  return objects
    .filter(({ action }) => action === 'removed')
    .map(({ kind, namespace, name }) => `${kind} ${namespace ? `${namespace}/${name}` : name}`)
}

function isStale(error: unknown): error is ApiError {
  return error instanceof ApiError && error.problem.status === 412
}

export default function PreviewDialog({ request, close }: { request: PreviewRequest; close: () => void }) {
  const { title, cli, confirm } = request
  const t = useTexts(T)
  const common = useCommon()
  const me = useMe()
  const toasts = useToasts()
  const [write, setWrite] = useState(request.write)
  const [reason, setReason] = useState('')
  const [typed, setTyped] = useState('')

  const dryRun = useQuery({
    queryKey: ['preview', write],
    queryFn: async () => (await ask(write, { dryRun: true })).data,
    retry: false,
    staleTime: 0,
    gcTime: 0,
  })
  const apply = useMutation({
    mutationFn: async (force: boolean) =>
      (await ask(write, { reason: reason.trim() || undefined, force: force || undefined })).data,
    onSuccess: report => {
      if (report.revision) toasts.follow(report.revision)
      else toasts.say('note', t.appliedNothing)
      // The watch stream would say so too, a moment later, or not while it is down.
      void queries.invalidateQueries({
        predicate: query => !['me', 'preview'].includes(String(query.queryKey[0])),
      })
      request.done?.(report)
      close()
    },
  })

  const report = dryRun.data
  const changes = report ? report.objects.some(object => object.action !== 'unchanged') : false
  const failed = report?.gates.some(gate => gate.state === 'failed') ?? false
  const stale = isStale(apply.error) ? apply.error : isStale(dryRun.error) ? dryRun.error : undefined
  // Somebody else writes it, or nobody: nothing makes that go through.
  const barred = report?.gates.find(gate => gate.name === 'rights' && gate.state === 'failed')
  const proposal = report?.proposal
  const yaml = report && barred ? yamlOf(write, report) : textOf(write)
  const why =
    (report && !changes ? t.nothing : undefined) ??
    (me.requireReason && !reason.trim() ? t.reasonNeeded : undefined) ??
    (confirm && typed !== confirm ? t.confirm(confirm) : undefined)

  return (
    <Dialog title={proposal ? t.proposal(title) : title} onClose={close} size={920}>
      <div className="stack">
        {stale ? (
          <Stale
            error={stale}
            write={write}
            base={request.base}
            again={setWrite}
            close={close}
            reset={() => apply.reset()}
          />
        ) : (
          <>
            {dryRun.error && <ErrorCard error={dryRun.error} retry={() => void dryRun.refetch()} />}
            {dryRun.isFetching && !report && (
              <div>
                <p className="dim" role="status">
                  {t.computing}
                </p>
                <Skeleton rows={4} />
              </div>
            )}
            {report && <ReportTabs report={report} />}
            {apply.error && <ErrorCard error={apply.error} />}
            {barred && (
              <Notice tone="note" title={proposal ? t.proposeMode(me.owner ?? '') : t.notWritten}>
                {proposal?.patch && <p>{t.howToPatch}</p>}
                {proposal && !proposal.patch && (
                  <p>
                    {t.noPatch} {yaml && t.takeYaml}
                  </p>
                )}
                {proposal && goneIn(report).length > 0 && (
                  <ul className="plain">
                    {goneIn(report).map(object => (
                      <li key={object}>{t.toDelete(object)}</li>
                    ))}
                  </ul>
                )}
                <span className="dim" lang="en">
                  {barred.text}
                </span>
              </Notice>
            )}
            {report && !barred && (
              <div className="row wrap top">
                <TextField
                  label={t.reasonLabel}
                  value={reason}
                  onChange={setReason}
                  required={me.requireReason}
                  style={{ flex: '1 1 260px' }}
                />
                {confirm && (
                  <TextField
                    label={t.confirm(confirm)}
                    value={typed}
                    onChange={setTyped}
                    autoComplete="off"
                    style={{ flex: '1 1 220px' }}
                  />
                )}
              </div>
            )}
            {failed && !barred && <Notice tone="warn">{t.forceWhy}</Notice>}
            <div className="row wrap spread">
              <span className="row wrap">
                {yaml && <CopyButton text={yaml} label={common.copyYaml} />}
                {!barred && <CopyButton text={cli} label={common.copyCli} />}
                {proposal?.patch && (
                  <>
                    <CopyButton text={proposal.patch} label={t.copyPatch} />
                    <Act
                      variant="filled"
                      onClick={() => saveFile('isthmus-proposal.patch', 'text/x-patch', proposal.patch)}
                    >
                      {t.downloadPatch}
                    </Act>
                  </>
                )}
              </span>
              <span className="row wrap">
                <Act onClick={close}>{barred ? common.close : common.cancel}</Act>
                {!barred && (
                  <Act
                    variant="filled"
                    color={confirm || failed ? 'red.8' : undefined}
                    why={report ? why : t.computing}
                    loading={apply.isPending}
                    onClick={() => apply.mutate(failed)}
                  >
                    {failed ? t.applyForce : t.apply}
                  </Act>
                )}
              </span>
            </div>
          </>
        )}
      </div>
    </Dialog>
  )
}

/** What somebody else did meanwhile, and what was to be done here. */
function Stale(props: {
  error: ApiError
  write: Write
  base?: Document
  again: (write: Write) => void
  close: () => void
  reset: () => void
}) {
  const { error, write, base, again, close, reset } = props
  const t = useTexts(T)
  const { current, currentEtag } = error.problem
  const theirs = current ? plain(current) : ''
  const before = base ? plain(base) : ''
  const mine = typeof write.body === 'string' ? write.body : stringify(write.body ?? {})
  // Only what was changed here is put on top; everything else stays as they have it.
  const merged = () =>
    current && base && write.body !== undefined
      ? stringify(merge(withoutStatus(base), withoutStatus(current), parse(mine)), { lineWidth: 0 })
      : write.body
  return (
    <>
      <Notice tone="warn" title={t.stale}>
        {t.staleText}
      </Notice>
      <h3>{t.theirs}</h3>
      <TextDiff before={before} after={theirs} />
      <h3>{t.mine}</h3>
      <TextDiff before={before || theirs} after={mine} />
      <div className="row wrap" style={{ justifyContent: 'flex-end' }}>
        <Act onClick={close}>{t.takeTheirs}</Act>
        <Act
          variant="filled"
          onClick={() => {
            reset()
            again({
              ...write,
              body: merged(),
              headers: currentEtag ? { 'if-match': currentEtag } : { 'if-none-match': '*' },
            })
          }}
        >
          {t.takeMine}
        </Act>
      </div>
    </>
  )
}

function withoutStatus({ status: _, ...document }: Document): Document {
  return document
}

function plain(document: Document): string {
  return stringify(withoutStatus(document), { lineWidth: 0 })
}
