import { Slider } from '@mantine/core'

/** A part of a whole, 0 to 1, in steps of 0.1 %. */
export function ShareSlider(props: {
  label: string
  value: number
  disabled?: boolean
  onChange: (part: number) => void
}) {
  const { label, value, disabled, onChange } = props
  return (
    <Slider
      thumbLabel={label}
      label={null}
      min={0}
      max={100}
      step={0.1}
      disabled={disabled}
      value={Math.round(value * 1000) / 10}
      onChange={percent => onChange(percent / 100)}
      style={{ flex: '1 1 180px' }}
    />
  )
}
